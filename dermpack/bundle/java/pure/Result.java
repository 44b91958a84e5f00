package dermpack.bundle;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The answer of the model for one picture. It is not a diagnosis. */
public final class Result {
    private static final String UNLIKE = "unlike the pictures this model was trained on";
    private static final String NOT_SURE = "not sure";

    private final List<Score> scores;
    private final List<Score> called;
    private final boolean isSure;
    private final byte[] pixels;
    private final double distance;
    private final boolean isFamiliar;
    private final Quality.@Nullable Fault fault;
    private final Timing timing;
    private final @Nullable EvidenceMap evidence;

    Result(
            List<Score> scores,
            List<Score> called,
            boolean isSure,
            byte[] pixels,
            double distance,
            boolean isFamiliar,
            Quality.@Nullable Fault fault,
            Timing timing,
            @Nullable EvidenceMap evidence) {
        this.scores = Collections.unmodifiableList(scores);
        this.called = Collections.unmodifiableList(called);
        this.isSure = isSure;
        this.pixels = pixels;
        this.distance = distance;
        this.isFamiliar = isFamiliar;
        this.fault = fault;
        this.timing = timing;
        this.evidence = evidence;
    }

    /** The most probable label, or null if there is a refusal: show the refusal instead. */
    public @Nullable Score getAnswerOrNull() {
        return getRefusal() == null ? scores.get(0) : null;
    }

    /** All labels, the most probable first. */
    public List<Score> getScores() {
        return scores;
    }

    /** The most probable label, even where the model abstains. */
    public Score getTop() {
        return scores.get(0);
    }

    /** The most probable labels: this many, or all if there are fewer. */
    public List<Score> top(int count) {
        return new ArrayList<Score>(scores.subList(0, Math.min(count, scores.size())));
    }

    /** Labels that must not be missed and whose probability reaches their threshold; often none. */
    public List<Score> getCalled() {
        return called;
    }

    /** Why no label should be shown: a fault of the picture, unlike the training pictures, "not sure"; or null. */
    public @Nullable String getRefusal() {
        if (fault != null) {
            return fault.getText();
        }
        if (!isFamiliar) {
            return UNLIKE;
        }
        return isSure ? null : NOT_SURE;
    }

    /** What is wrong with the picture, which can be taken again; null if it has no fault or is not measured. */
    public Quality.@Nullable Fault getFault() {
        return fault;
    }

    /** Whether the picture is like those that the model was trained on; true if that is not measured. */
    public boolean isFamiliar() {
        return isFamiliar;
    }

    /** The distance to the training pictures, whose mean is 1; 0 if it is not measured. */
    public double getDistance() {
        return distance;
    }

    /** Whether the model is sure enough to answer; if not, show "not sure" and not the label. */
    public boolean isSure() {
        return isSure;
    }

    /** The square that the model saw: RGB, row by row, three bytes for each pixel. */
    public byte[] getPixels() {
        return pixels.clone();
    }

    public Timing getTiming() {
        return timing;
    }

    /** Where the answer comes from; null if the model does not return it. */
    public @Nullable EvidenceMap getEvidence() {
        return evidence;
    }

    /** Equal answers for equal pixels, however long they took. */
    @Override
    public boolean equals(@Nullable Object other) {
        if (!(other instanceof Result)) {
            return false;
        }
        Result result = (Result) other;
        return scores.equals(result.scores)
                && called.equals(result.called)
                && isSure == result.isSure
                && distance == result.distance
                && Arrays.equals(pixels, result.pixels);
    }

    @Override
    public int hashCode() {
        return 31 * scores.hashCode() + called.hashCode();
    }

    @Override
    public String toString() {
        String refusal = getRefusal();
        return (refusal == null ? "" : refusal + ", ") + scores + (called.isEmpty() ? "" : ", called " + called);
    }

    /** A label and its calibrated probability. */
    public static final class Score {
        private final String label;
        private final String meaning;
        private final double probability;

        Score(String label, String meaning, double probability) {
            this.label = label;
            this.meaning = meaning;
            this.probability = probability;
        }

        /** The label, for programs. */
        public String getLabel() {
            return label;
        }

        /** What the label means, in words for people; the label itself if the contract does not describe it. */
        public String getMeaning() {
            return meaning;
        }

        /** Between 0 and 1. */
        public double getProbability() {
            return probability;
        }

        @Override
        public boolean equals(@Nullable Object other) {
            if (!(other instanceof Score)) {
                return false;
            }
            Score score = (Score) other;
            return label.equals(score.label)
                    && meaning.equals(score.meaning)
                    && Double.compare(probability, score.probability) == 0;
        }

        @Override
        public int hashCode() {
            return 31 * label.hashCode() + Double.valueOf(probability).hashCode();
        }

        @Override
        public String toString() {
            return String.format(Locale.ROOT, "%s %.3f", label, probability);
        }
    }
}
