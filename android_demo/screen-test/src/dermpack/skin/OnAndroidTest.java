package dermpack.skin;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.media.ExifInterface;
import android.os.Build;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.List;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.GraphicsMode;

/** The module on Android's own AssetManager, BitmapFactory and Bitmap. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
public final class OnAndroidTest {
    private static final File FORMATS = new File(System.getProperty("pictures"), "formats");

    private final Context context = RuntimeEnvironment.getApplication();
    private SkinClassifier classifier;

    @Before
    public void open() throws IOException {
        classifier = SkinClassifier.open(context);
    }

    @After
    public void close() {
        classifier.close();
    }

    @Test
    public void thisIsTheVersionOfAndroidThatWasAskedFor() {
        assertEquals((int) Integer.getInteger("api"), Build.VERSION.SDK_INT);
    }

    @Test
    public void everyGoldenPictureBecomesTheSameBytesAsInTraining() throws IOException {
        List<SelfCheck.Check> checks = classifier.selfCheck();
        assertTrue(checks.size() >= 2 * 14); // the pixels and each output of every picture
        for (SelfCheck.Check check : checks) {
            assertTrue(check.toString(), check.isPassed());
            assertTrue(check.toString(), check.getDetail().endsWith("same bytes"));
        }
    }

    @Test
    public void theGeneratedSelfCheckForDevicesPasses() throws Exception {
        new SkinClassifierSelfCheckTest().everyGoldenPicturePasses();
    }

    @Test
    public void theModelIsMappedFromTheApk() throws IOException {
        try (AssetFileDescriptor file = context.getAssets().openFd("skin/model.tflite")) {
            assertEquals((long) Long.getLong("model.bytes"), file.getDeclaredLength());
        }
    }

    @Test
    public void everyFormatIsDecodedToThePixelsOfTraining() throws IOException {
        File[] files = FORMATS.listFiles((folder, name) -> !name.endsWith(".rgba"));
        assertEquals(37, files.length);
        for (File file : files) {
            byte[] bytes = Files.readAllBytes(file.toPath());
            BitmapFactory.Options options = new BitmapFactory.Options();
            options.inPremultiplied = false;
            options.inScaled = false;
            Bitmap bitmap = BitmapFactory.decodeByteArray(bytes, 0, bytes.length, options);
            assertNotNull(file.getName(), bitmap);
            assertArrayEquals(file.getName(), wanted(file), rgba(bitmap));
        }
    }

    @Test
    public void theOrientationIsThatOfAndroidsOwnReader() throws IOException {
        for (String suffix : new String[] {"jpg", "png", "webp"}) {
            for (int number = 1; number <= 8; number++) {
                byte[] file = Files.readAllBytes(new File(FORMATS, "turned-" + number + "." + suffix).toPath());
                ExifInterface android = new ExifInterface(new ByteArrayInputStream(file));
                assertEquals(number, android.getAttributeInt(ExifInterface.TAG_ORIENTATION, 0));
                assertEquals(number, Exif.orientation(file).getNumber());
            }
        }
    }

    @Test
    public void aBitmapIsAnsweredAsItsFile() throws IOException {
        byte[] file = Files.readAllBytes(new File(FORMATS, "plain.png").toPath());
        double wanted = classifier.classify(file).getTop().getProbability();
        for (Bitmap.Config config : Arrays.asList(Bitmap.Config.ARGB_8888, Bitmap.Config.RGBA_F16)) {
            BitmapFactory.Options options = new BitmapFactory.Options();
            options.inPreferredConfig = config;
            Bitmap bitmap = BitmapFactory.decodeByteArray(file, 0, file.length, options);
            assertEquals(config, bitmap.getConfig());
            assertEquals(wanted, classifier.classify(bitmap).getTop().getProbability(), 0);
        }
    }

    /** The pixels that Python's decoder makes. */
    private static byte[] wanted(File file) throws IOException {
        return Files.readAllBytes(new File(file.getPath() + ".rgba").toPath());
    }

    private static byte[] rgba(Bitmap bitmap) {
        int width = bitmap.getWidth();
        int height = bitmap.getHeight();
        int[] pixels = new int[width * height];
        bitmap.getPixels(pixels, 0, width, 0, 0, width, height);
        ByteBuffer into = ByteBuffer.allocate(8 + 4 * pixels.length).order(ByteOrder.LITTLE_ENDIAN);
        into.putInt(width).putInt(height);
        into.order(ByteOrder.BIG_ENDIAN);
        for (int pixel : pixels) {
            into.putInt(pixel << 8 | pixel >>> 24);
        }
        return into.array();
    }
}
