package dermpack.skin;

import java.util.ArrayList;
import java.util.List;

/** Results that no generated picture has, for the tests of the screen. */
public final class Answers {
    private Answers() {}

    /** An answer in which labels reach the thresholds fixed for them. */
    public static Result called(String... labels) {
        List<Result.Score> scores = new ArrayList<>();
        for (String label : labels) {
            scores.add(new Result.Score(label, label, 1.0 / labels.length));
        }
        return new Result(scores, scores, false, new byte[0], new Timing(0, 0, 0));
    }
}
