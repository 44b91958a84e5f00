package dermpack.bundle;

/** Whether a prepared picture is blurred, too dark or overexposed: the whole numbers that Python computes, too. */
public final class Quality {
    private static final int BRIGHT_PERCENT = 95;
    private static final int WHITE_LUMA = 250;

    private final long sharpness;
    private final int brightness;
    private final int whitePercent;

    private Quality(long sharpness, int brightness, int whitePercent) {
        this.sharpness = sharpness;
        this.brightness = brightness;
        this.whitePercent = whitePercent;
    }

    /** Measures a prepared square, RGB, row by row, with sides of at least 3 pixels. */
    static Quality measure(byte[] pixels, int size) {
        int[] luma = new int[size * size];
        int[] counts = new int[256];
        for (int i = 0; i < luma.length; i++) {
            int red = pixels[3 * i] & 255;
            int green = pixels[3 * i + 1] & 255;
            int blue = pixels[3 * i + 2] & 255;
            luma[i] = 77 * red + 150 * green + 29 * blue >> 8;
            counts[luma[i]]++;
        }
        long squares = 0;
        for (int y = 1; y < size - 1; y++) {
            for (int x = 1; x < size - 1; x++) {
                int i = y * size + x;
                long edge = 4 * luma[i] - luma[i - 1] - luma[i + 1] - luma[i - size] - luma[i + size];
                squares += edge * edge;
            }
        }
        long inner = (long) (size - 2) * (size - 2);
        return new Quality(squares / inner, brightness(counts, luma.length), white(counts, luma.length));
    }

    /** The least luma that at least 95 % of the pixels do not exceed. */
    private static int brightness(int[] counts, int pixels) {
        long below = 0;
        for (int luma = 0; luma < 255; luma++) {
            below += counts[luma];
            if (100 * below >= (long) BRIGHT_PERCENT * pixels) {
                return luma;
            }
        }
        return 255;
    }

    private static int white(int[] counts, int pixels) {
        long white = 0;
        for (int luma = WHITE_LUMA; luma < 256; luma++) {
            white += counts[luma];
        }
        return (int) (100 * white / pixels);
    }

    /** The mean squared Laplacian: low where a picture is blurred. */
    public long getSharpness() {
        return sharpness;
    }

    /** The luma, 0 to 255, that 95 % of the pixels do not exceed. */
    public int getBrightness() {
        return brightness;
    }

    /** How many percent of the pixels are white. */
    public int getWhitePercent() {
        return whitePercent;
    }

    /** The first fault, or null; a dark or a white picture has few edges, so blur comes last. */
    Fault fault(Gates gates) {
        if (brightness < gates.leastBrightness) {
            return Fault.DARK;
        }
        if (whitePercent > gates.mostWhitePercent) {
            return Fault.OVEREXPOSED;
        }
        return sharpness < gates.leastSharpness ? Fault.BLURRED : null;
    }

    /** The limits of the contract. */
    static final class Gates {
        private final int leastSharpness;
        private final int leastBrightness;
        private final int mostWhitePercent;

        Gates(int leastSharpness, int leastBrightness, int mostWhitePercent) {
            this.leastSharpness = leastSharpness;
            this.leastBrightness = leastBrightness;
            this.mostWhitePercent = mostWhitePercent;
        }
    }

    /** Why a picture should be taken again. */
    public enum Fault {
        DARK("too dark"),
        OVEREXPOSED("overexposed"),
        BLURRED("too blurred");

        private final String text;

        Fault(String text) {
            this.text = text;
        }

        /** The words that the Python program uses. */
        public String getText() {
            return text;
        }
    }
}
