package dermpack.bundle;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Turns an output into labels with calibrated probabilities. */
final class Scorer {
    private Scorer() {}

    /** Probabilities in the order of the labels, under the contract's temperature. */
    static double[] probabilities(Contract contract, double[] real) {
        double[] shares = contract.isApplied() ? real : applied(contract, real);
        double[] both = contract.isSigmoid() ? new double[] {1 - shares[0], shares[0]} : shares;
        boolean isPlain = contract.temperature() == 1.0 && contract.floor() == 0.0;
        return isPlain ? both : softened(both, contract.temperature(), contract.floor());
    }

    /** The activation of logits, where the file does not contain it. */
    private static double[] applied(Contract contract, double[] logits) {
        if (contract.isSigmoid()) {
            return new double[] {1 / (1 + Math.exp(-logits[0]))};
        }
        double highest = Double.NEGATIVE_INFINITY;
        for (double logit : logits) {
            highest = Math.max(highest, logit);
        }
        double[] powers = new double[logits.length];
        double sum = 0;
        for (int i = 0; i < powers.length; i++) {
            powers[i] = Math.exp(logits[i] - highest);
            sum += powers[i];
        }
        for (int i = 0; i < powers.length; i++) {
            powers[i] /= sum;
        }
        return powers;
    }

    /** The answer for these pixels, with the evidence map if the model returns one. */
    static Result result(
            Contract contract,
            double[] probabilities,
            double distance,
            Quality.@Nullable Fault fault,
            byte[] pixels,
            Timing timing,
            @Nullable EvidenceMap evidence) {
        List<Result.Score> scores = new ArrayList<Result.Score>();
        List<Result.Score> called = new ArrayList<Result.Score>();
        for (int i = 0; i < probabilities.length; i++) {
            String label = contract.getLabels().get(i);
            Result.Score score = new Result.Score(label, contract.getMeaning(label), probabilities[i]);
            scores.add(score);
            Double threshold = contract.getThresholds().get(label);
            if (threshold != null && probabilities[i] >= threshold) {
                called.add(score);
            }
        }
        Collections.sort(scores, new MostProbableFirst()); // stable: of equals, the first label
        boolean isSure = scores.get(0).getProbability() >= contract.getAbstainBelow();
        // A number below 0 is not a distance: the model is not what its contract describes.
        boolean isFamiliar = distance >= 0 && distance <= contract.getUnlikeAbove();
        return new Result(scores, called, isSure, pixels, distance, isFamiliar, fault, timing, evidence);
    }

    /** Raises probabilities to the floor, divides their logarithms by the temperature and normalises. */
    private static double[] softened(double[] probabilities, double temperature, double floor) {
        double[] logs = new double[probabilities.length];
        double highest = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < logs.length; i++) {
            logs[i] = Math.log(Math.max(probabilities[i], floor)) / temperature;
            highest = Math.max(highest, logs[i]);
        }
        double sum = 0;
        for (int i = 0; i < logs.length; i++) {
            logs[i] = Math.exp(logs[i] - highest);
            sum += logs[i];
        }
        for (int i = 0; i < logs.length; i++) {
            logs[i] /= sum;
        }
        return logs;
    }

    private static final class MostProbableFirst implements Comparator<Result.Score> {
        @Override
        public int compare(Result.Score one, Result.Score other) {
            return Double.compare(other.getProbability(), one.getProbability());
        }
    }
}
