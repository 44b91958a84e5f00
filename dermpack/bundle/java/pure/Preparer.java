package dermpack.bundle;

/** From a decoded picture to the square that a model sees: the same bytes as in training. */
final class Preparer {
    /** How much larger than the model's input a reduced JPEG must stay, so that our filter does the work. */
    private static final int MARGIN = 2;
    private static final int BAND_ROWS = 64;
    private static final int[] SAMPLE_SIZES = {8, 4, 2};

    private Preparer() {}

    /** How many times smaller a JPEG may be decoded (1, 2, 4, 8); everything else is decoded whole. */
    public static int sampleSize(int width, int height, int size) {
        int fits = Math.min(width, height) / (MARGIN * size);
        for (int sampleSize : SAMPLE_SIZES) {
            if (fits >= sampleSize) {
                return sampleSize;
            }
        }
        return 1;
    }

    /** RGB, row by row: size × size × 3 bytes. */
    static byte[] prepare(Raster raster, Orientation orientation, int size, Policy policy) {
        boolean isTurned = orientation.isTurned();
        int width = isTurned ? raster.getHeight() : raster.getWidth();
        int height = isTurned ? raster.getWidth() : raster.getHeight();
        int side = Math.min(width, height);
        boolean isCut = policy == Policy.CENTRE_SQUARE;
        int cutWidth = isCut ? side : width;
        int cutHeight = isCut ? side : height;
        byte[] upright = upright(
                raster, orientation, (width - cutWidth) / 2, (height - cutHeight) / 2, cutWidth, cutHeight);
        return Resizer.resize(upright, cutWidth, cutHeight, size);
    }

    /** A part of the upright picture; only what is stored of that part is read. */
    private static byte[] upright(
            Raster raster, Orientation orientation, int left, int top, int width, int height) {
        int storedWidth = raster.getWidth();
        int storedHeight = raster.getHeight();
        int firstX = orientation.storedX(left, top, storedWidth);
        int firstY = orientation.storedY(left, top, storedHeight);
        int lastX = orientation.storedX(left + width - 1, top + height - 1, storedWidth);
        int lastY = orientation.storedY(left + width - 1, top + height - 1, storedHeight);
        int partLeft = Math.min(firstX, lastX);
        int partTop = Math.min(firstY, lastY);
        int partWidth = Math.abs(lastX - firstX) + 1;
        int partHeight = Math.abs(lastY - firstY) + 1;
        byte[] stored = rgb(raster, partLeft, partTop, partWidth, partHeight);
        if (orientation == Orientation.UPRIGHT) {
            return stored;
        }
        byte[] turned = new byte[stored.length];
        int to = 0;
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int storedX = orientation.storedX(left + x, top + y, storedWidth) - partLeft;
                int storedY = orientation.storedY(left + x, top + y, storedHeight) - partTop;
                int from = 3 * (storedY * partWidth + storedX);
                turned[to++] = stored[from];
                turned[to++] = stored[from + 1];
                turned[to++] = stored[from + 2];
            }
        }
        return turned;
    }

    /** Band by band, so that a large picture stands in the memory as few times as can be. */
    private static byte[] rgb(Raster raster, int left, int top, int width, int height) {
        byte[] rgb = new byte[3 * width * height];
        int[] band = new int[width * Math.min(BAND_ROWS, height)];
        int to = 0;
        for (int row = 0; row < height; row += BAND_ROWS) {
            int rows = Math.min(BAND_ROWS, height - row);
            raster.read(band, left, top + row, width, rows);
            for (int i = 0; i < width * rows; i++) {
                int alpha = band[i] >>> 24;
                rgb[to++] = overWhite(band[i] >> 16 & 255, alpha);
                rgb[to++] = overWhite(band[i] >> 8 & 255, alpha);
                rgb[to++] = overWhite(band[i] & 255, alpha);
            }
        }
        return rgb;
    }

    /** round((alpha * colour + (255 - alpha) * 255) / 255) */
    private static byte overWhite(int colour, int alpha) {
        if (alpha == 255) {
            return (byte) colour;
        }
        int sum = alpha * colour + (255 - alpha) * 255 + 128;
        return (byte) ((sum >> 8) + sum >> 8);
    }
}
