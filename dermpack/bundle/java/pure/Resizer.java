package dermpack.bundle;

/**
 * Resizes by the one exact integer algorithm of training: antialiased, bilinear, along the rows first and down
 * the columns second, each pass rounding to whole levels.
 *
 * <p>Every bit counts: fractions are doubles, computed in the order written; weights have 22 bits.
 */
final class Resizer {
    private static final int BITS = 22;
    private static final int CHANNELS = 3;

    private Resizer() {}

    /** A picture of width × height as size × size. */
    static byte[] resize(byte[] pixels, int width, int height, int size) {
        byte[] across = width == size ? pixels : across(pixels, width, height, new Filter(width, size));
        return height == size ? across : down(across, size, new Filter(height, size));
    }

    private static byte[] across(byte[] in, int width, int height, Filter filter) {
        int size = filter.first.length;
        byte[] out = new byte[CHANNELS * size * height];
        int to = 0;
        for (int row = 0; row < height; row++) {
            for (int i = 0; i < size; i++) {
                int start = CHANNELS * (row * width + filter.first[i]);
                for (int channel = 0; channel < CHANNELS; channel++) {
                    out[to++] = filter.sum(i, in, start + channel, CHANNELS);
                }
            }
        }
        return out;
    }

    private static byte[] down(byte[] in, int width, Filter filter) {
        int size = filter.first.length;
        int stride = CHANNELS * width;
        byte[] out = new byte[stride * size];
        int to = 0;
        for (int i = 0; i < size; i++) {
            int start = stride * filter.first[i];
            for (int column = 0; column < stride; column++) {
                out[to++] = filter.sum(i, in, start + column, stride);
            }
        }
        return out;
    }

    /** Which inputs each output is made of, and with what weights. */
    private static final class Filter {
        final int[] first;
        final int[][] weights;

        Filter(int from, int to) {
            first = new int[to];
            weights = new int[to][];
            double scale = (double) from / to;
            double reach = Math.max(scale, 1.0);
            double slope = 1.0 / reach;
            for (int i = 0; i < to; i++) {
                double centre = (i + 0.5) * scale;
                first[i] = Math.max((int) (centre - reach + 0.5), 0);
                int last = Math.min((int) (centre + reach + 0.5), from);
                weights[i] = weights(first[i], last, centre, slope);
            }
        }

        private static int[] weights(int first, int last, double centre, double slope) {
            double[] shares = new double[last - first];
            double total = 0;
            for (int x = first; x < last; x++) {
                double share = Math.max(1.0 - Math.abs((x - centre + 0.5) * slope), 0.0);
                shares[x - first] = share;
                total += share;
            }
            int[] weights = new int[shares.length];
            for (int i = 0; i < weights.length; i++) {
                weights[i] = (int) (0.5 + shares[i] / total * (1 << BITS));
            }
            return weights;
        }

        byte sum(int output, byte[] in, int start, int stride) {
            int sum = 1 << BITS - 1;
            int at = start;
            for (int weight : weights[output]) {
                sum += (in[at] & 255) * weight;
                at += stride;
            }
            return (byte) Math.min(sum >> BITS, 255);
        }
    }
}
