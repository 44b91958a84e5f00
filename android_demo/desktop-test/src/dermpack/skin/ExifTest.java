package dermpack.skin;

import static org.junit.Assert.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Random;
import org.junit.Test;

/** Orientations, and files that would lead a reader astray. */
public final class ExifTest {
    @Test
    public void everyOrientationIsRead() throws IOException {
        for (int number = 1; number <= 8; number++) {
            byte[] file = Desk.asset("golden/turned-" + number + ".jpg");
            assertEquals(number, Exif.orientation(file).getNumber());
        }
        assertEquals(Orientation.TURN_RIGHT, Exif.orientation(Desk.asset("golden/turned.png")));
    }

    @Test
    public void bothByteOrdersAreRead() throws IOException {
        int[] little = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 7, 0, 0, 0};
        int[] big = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 7, 0, 0};
        assertEquals(Orientation.TRANSVERSED, Exif.orientation(jpeg(little)));
        assertEquals(Orientation.TRANSVERSED, Exif.orientation(jpeg(big)));
    }

    @Test
    public void whatIsBrokenIsUpright() throws IOException {
        int[] beyond = {'I', 'I', 42, 0, 255, 255, 255, 255};
        int[] negative = {'M', 'M', 0, 42, 0x80, 0, 0, 0};
        int[] nine = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 9, 0, 0, 0};
        int[] many = {'I', 'I', 42, 0, 8, 0, 0, 0, 255, 255};
        for (int[] tiff : new int[][] {{}, {'I'}, beyond, negative, nine, many}) {
            assertEquals(Orientation.UPRIGHT, Exif.orientation(jpeg(tiff)));
        }
    }

    @Test
    public void noCutAndNoNoiseMakesItFail() throws IOException {
        Random random = new Random(0);
        for (String name : new String[] {"turned-6.jpg", "turned.png"}) {
            byte[] whole = Desk.asset("golden/" + name);
            for (int round = 0; round < 2000; round++) {
                byte[] spoilt = new byte[1 + random.nextInt(whole.length)];
                System.arraycopy(whole, 0, spoilt, 0, spoilt.length);
                for (int change = 0; change < 8; change++) {
                    spoilt[random.nextInt(Math.min(spoilt.length, 200))] = (byte) random.nextInt();
                }
                Exif.orientation(spoilt);
            }
        }
    }

    private static byte[] jpeg(int[] tiff) throws IOException {
        ByteArrayOutputStream into = new ByteArrayOutputStream();
        int length = 2 + 6 + tiff.length;
        for (int part : new int[] {0xFF, 0xD8, 0xFF, 0xE1, length >> 8, length, 'E', 'x', 'i', 'f', 0, 0}) {
            into.write(part);
        }
        for (int part : tiff) {
            into.write(part);
        }
        for (int part : new int[] {0xFF, 0xDA, 0, 2}) {
            into.write(part);
        }
        return into.toByteArray();
    }
}
