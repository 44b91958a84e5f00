package dermpack.demo;

import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Matrix;
import android.media.ExifInterface;
import android.os.Looper;
import java.io.ByteArrayInputStream;
import java.io.IOException;

/** Decodes a picture for display, upright and about as large as the screen; the model gets the file itself. */
final class Previews {
    private static final int LARGEST_SIDE = 1024;
    private static final float[][] MATRICES = { // of EXIF's 1 to 8: x by x, x by y, y by x, y by y
        {1, 0, 0, 1}, {-1, 0, 0, 1}, {-1, 0, 0, -1}, {1, 0, 0, -1},
        {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, -1, 0}, {0, 1, -1, 0},
    };

    private Previews() {}

    /** Do not call it on the main thread: a large PNG takes a second. Null if Android cannot decode the file. */
    static Bitmap of(byte[] file) {
        if (Looper.myLooper() == Looper.getMainLooper()) {
            throw new IllegalStateException("decode pictures on a worker thread");
        }
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inJustDecodeBounds = true;
        BitmapFactory.decodeByteArray(file, 0, file.length, options);
        options.inJustDecodeBounds = false;
        options.inSampleSize = Math.max(1, Math.max(options.outWidth, options.outHeight) / LARGEST_SIDE);
        Bitmap bitmap = BitmapFactory.decodeByteArray(file, 0, file.length, options);
        int number = bitmap == null ? 1 : orientation(file);
        if (number < 2 || number > MATRICES.length) {
            return bitmap;
        }
        float[] turn = MATRICES[number - 1];
        Matrix matrix = new Matrix();
        matrix.setValues(new float[] {turn[0], turn[1], 0, turn[2], turn[3], 0, 0, 0, 1});
        return Bitmap.createBitmap(bitmap, 0, 0, bitmap.getWidth(), bitmap.getHeight(), matrix, true);
    }

    private static int orientation(byte[] file) {
        try {
            ExifInterface exif = new ExifInterface(new ByteArrayInputStream(file));
            return exif.getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL);
        } catch (IOException error) {
            return ExifInterface.ORIENTATION_NORMAL; // the format has no EXIF
        }
    }

    /** The square that the model saw. */
    static Bitmap square(byte[] rgb, int size) {
        int[] pixels = new int[size * size];
        for (int i = 0; i < pixels.length; i++) {
            pixels[i] = 0xFF000000 | (rgb[3 * i] & 255) << 16 | (rgb[3 * i + 1] & 255) << 8 | rgb[3 * i + 2] & 255;
        }
        return Bitmap.createBitmap(pixels, size, size, Bitmap.Config.ARGB_8888);
    }
}
