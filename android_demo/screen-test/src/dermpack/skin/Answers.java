package dermpack.skin;

import java.util.ArrayList;
import java.util.Collections;
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
        return new Result(scores, scores, false, new byte[0], 0, true, null, new Timing(0, 0, 0), null);
    }

    /** A sure answer to a picture with a fault, or of another kind, whose label reaches its threshold. */
    public static Result refused(boolean isFamiliar, Quality.Fault fault) {
        List<Result.Score> scores = Collections.singletonList(new Result.Score("mel", "melanoma", 1));
        return new Result(scores, scores, true, new byte[0], 9, isFamiliar, fault, new Timing(0, 0, 0), null);
    }

    /** A map of one label. */
    public static EvidenceMap evidence(int height, int width, double... values) {
        return new EvidenceMap(height, width, 1, values);
    }

    /** The fields of a contract, as JSON. */
    public static List<MetadataColumn> columns(String... json) {
        List<MetadataColumn> columns = new ArrayList<>();
        for (String column : json) {
            columns.add(new MetadataColumn(Json.object(column)));
        }
        return columns;
    }

    public static float[] row(Metadata metadata, List<MetadataColumn> columns) {
        return metadata.row(columns);
    }
}
