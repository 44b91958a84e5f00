package android.graphics;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import javax.imageio.ImageIO;

/** Stands in for Android's own: the desktop's decoders, and means of pixels where a JPEG is to be smaller. */
public class BitmapFactory {
    public static Bitmap decodeByteArray(byte[] data, int offset, int length, Options options) {
        BufferedImage image;
        try {
            image = ImageIO.read(new ByteArrayInputStream(data, offset, length));
        } catch (IOException error) {
            image = null;
        }
        options.outWidth = image == null ? -1 : image.getWidth();
        options.outHeight = image == null ? -1 : image.getHeight();
        if (image == null || options.inJustDecodeBounds) {
            return null;
        }
        return new Bitmap(options.inSampleSize > 1 ? reduced(image, options.inSampleSize) : image);
    }

    private static BufferedImage reduced(BufferedImage image, int times) {
        int width = (image.getWidth() + times - 1) / times;
        int height = (image.getHeight() + times - 1) / times;
        BufferedImage small = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                small.setRGB(x, y, mean(image, x * times, y * times, times));
            }
        }
        return small;
    }

    private static int mean(BufferedImage image, int left, int top, int side) {
        int width = Math.min(side, image.getWidth() - left);
        int height = Math.min(side, image.getHeight() - top);
        int[] part = image.getRGB(left, top, width, height, null, 0, width);
        int[] sums = new int[3];
        for (int pixel : part) {
            for (int channel = 0; channel < 3; channel++) {
                sums[channel] += pixel >> 8 * channel & 255;
            }
        }
        int mean = 0;
        for (int channel = 0; channel < 3; channel++) {
            mean |= (sums[channel] + part.length / 2) / part.length << 8 * channel;
        }
        return mean;
    }

    /** What to decode, and what was found. */
    public static class Options {
        public boolean inJustDecodeBounds;
        public int inSampleSize;
        public Bitmap.Config inPreferredConfig;
        public boolean inPremultiplied;
        public boolean inScaled;
        public int outWidth;
        public int outHeight;
    }
}
