package dermpack.bundle;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What the model says of one picture. No diagnosis. */
public final class Result {
    private static final String UNLIKE = "unlike the pictures this model was trained on";
    private static final String NOT_SURE = "not sure";

    private final List<Score> scores;
    private final List<Score> called;
    private final boolean isSure;
    private final double distance;
    private final boolean isFamiliar;
    private final Quality.Fault fault;
    private final Timing timing;
    private final EvidenceMap evidence;

    Result(
            List<Score> scores,
            List<Score> called,
            boolean isSure,
            double distance,
            boolean isFamiliar,
            Quality.Fault fault,
            Timing timing,
            EvidenceMap evidence) {
        this.scores = Collections.unmodifiableList(scores);
        this.called = Collections.unmodifiableList(called);
        this.isSure = isSure;
        this.distance = distance;
        this.isFamiliar = isFamiliar;
        this.fault = fault;
        this.timing = timing;
        this.evidence = evidence;
    }

    /** All labels, the most probable first. */
    public List<Score> getScores() {
        return scores;
    }

    /** The most probable label. */
    public Score getTop() {
        return scores.get(0);
    }

    /** The most probable labels, so many or as many as there are. */
    public List<Score> top(int count) {
        return new ArrayList<Score>(scores.subList(0, Math.min(count, scores.size())));
    }

    /** Labels whose probability reaches the threshold that was fixed for them; often none. */
    public List<Score> getCalled() {
        return called;
    }

    /** Why no label should be shown: a fault of the picture, unlike the training pictures, "not sure"; or null. */
    public String getRefusal() {
        if (fault != null) {
            return fault.getText();
        }
        if (!isFamiliar) {
            return UNLIKE;
        }
        return isSure ? null : NOT_SURE;
    }

    /** What is wrong with the picture, which can be taken again; null where nothing is, or nothing is measured. */
    public Quality.Fault getFault() {
        return fault;
    }

    /** Whether the picture is like those that the model was trained on; true where that is not measured. */
    public boolean isFamiliar() {
        return isFamiliar;
    }

    /** The distance to the training pictures, whose mean is 1; 0 where it is not measured. */
    public double getDistance() {
        return distance;
    }

    /** Whether the model is sure enough to answer; if not, show "not sure" and not the label. */
    public boolean isSure() {
        return isSure;
    }

    public Timing getTiming() {
        return timing;
    }

    /** Where the answer comes from; null where the model does not return it. */
    public EvidenceMap getEvidence() {
        return evidence;
    }

    /** A label and its calibrated probability. */
    public static final class Score {
        private final String label;
        private final double probability;

        Score(String label, double probability) {
            this.label = label;
            this.probability = probability;
        }

        public String getLabel() {
            return label;
        }

        /** Between 0 and 1. */
        public double getProbability() {
            return probability;
        }
    }
}
