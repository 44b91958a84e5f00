package dermpack.skin;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import java.io.File;
import java.io.IOException;
import java.util.List;
import org.junit.Test;

/** The repository's golden vectors of the preparation itself: odd sizes, both policies, every kind of PNG. */
public final class PreparerTest {
    private final File folder = new File(System.getProperty("golden.folder"));

    @Test
    public void everyGoldenPngBecomesTheSameBytes() throws IOException {
        String index = new String(Desk.bytes(new File(folder, "golden.json")), "UTF-8");
        List<Json.Node> vectors = Json.object(index).get("vectors").items();
        assertTrue(vectors.size() >= 20);
        for (Json.Node vector : vectors) {
            String name = vector.get("picture").text();
            byte[] picture = Desk.bytes(new File(folder, name));
            byte[] wanted = Desk.bytes(new File(folder, vector.get("output").text()));
            Policy policy = Policy.named(vector.get("policy").text());
            byte[] found = Preparer.prepare(
                    raster(picture), Exif.orientation(picture), vector.get("size").whole(), policy);
            assertArrayEquals(name + " by " + policy, wanted, found);
            Quality quality = Quality.measure(found, vector.get("size").whole());
            List<Json.Node> measured = vector.get("quality").items();
            assertEquals(name, measured.get(0).whole(), quality.getSharpness());
            assertEquals(name, measured.get(1).whole(), quality.getBrightness());
            assertEquals(name, measured.get(2).whole(), quality.getWhitePercent());
        }
    }

    @Test
    public void jpegsAreReducedAsTheyAreInTraining() {
        assertEquals(1, Preparer.sampleSize(895, 4000, 224));
        assertEquals(2, Preparer.sampleSize(896, 4000, 224));
        assertEquals(2, Preparer.sampleSize(1791, 1791, 224));
        assertEquals(4, Preparer.sampleSize(1792, 1792, 224));
        assertEquals(8, Preparer.sampleSize(30000, 30000, 224));
        assertEquals(1, Preparer.sampleSize(1, 1, 224));
    }

    private static Raster raster(byte[] picture) {
        final Bitmap bitmap = BitmapFactory.decodeByteArray(picture, 0, picture.length, new BitmapFactory.Options());
        return new Raster() {
            @Override
            public int getWidth() {
                return bitmap.getWidth();
            }

            @Override
            public int getHeight() {
                return bitmap.getHeight();
            }

            @Override
            public void read(int[] into, int left, int top, int width, int height) {
                bitmap.getPixels(into, 0, width, left, top, width, height);
            }
        };
    }
}
