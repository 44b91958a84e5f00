package dermpack.bundle;

/**
 * Shows where the answer comes from: for each label and each place of a coarse grid over the square that the model
 * sees, the evidence for the label (above 0) or against it. It does not show where a disease is.
 */
public final class EvidenceMap {
    private final int height;
    private final int width;
    private final int labels;
    private final double[] values;

    EvidenceMap(int height, int width, int labels, double[] values) {
        if (values.length != height * width * labels) {
            throw new IllegalArgumentException(
                    "the evidence has " + values.length + " numbers, not " + height + " × " + width + " × " + labels);
        }
        this.height = height;
        this.width = width;
        this.labels = labels;
        this.values = values;
    }

    /** Rows of the grid. */
    public int getHeight() {
        return height;
    }

    /** Columns of the grid. */
    public int getWidth() {
        return width;
    }

    /** The evidence of a place for the label with this number in the contract's labels. */
    public double at(int row, int column, int label) {
        return values[(row * width + column) * labels + label];
    }

    /** The mean over all places: the label's logit, without the share of the metadata. */
    public double mean(int label) {
        double sum = 0;
        for (int place = 0; place < height * width; place++) {
            sum += values[place * labels + label];
        }
        return sum / (height * width);
    }
}
