package dermpack.bundle;

/** Finds the orientation in the bytes of a picture file, and reads nothing else of its EXIF. */
final class Exif {
    private static final int ORIENTATION_TAG = 0x0112;
    private static final int SHORT = 3;
    private static final int MAX_PARTS = 1 << 16; // segments or chunks before we give up

    private final byte[] data;
    private final boolean isLittle;
    private final int start;
    private final int end;

    private Exif(byte[] data, int start, int end) {
        this.data = data;
        this.start = start;
        this.end = end;
        this.isLittle = start < end && data[start] == 'I';
    }

    /** Of a JPEG, a PNG or a WebP; a file without EXIF, or with broken EXIF, is upright. */
    public static Orientation orientation(byte[] file) {
        try {
            Exif exif = find(file);
            return exif == null ? Orientation.UPRIGHT : Orientation.numbered(exif.number());
        } catch (IndexOutOfBoundsException error) {
            return Orientation.UPRIGHT;
        }
    }

    /** Whether the bytes begin like a JPEG: it may be decoded at half its size. */
    public static boolean isJpeg(byte[] file) {
        return begins(file, 0, 0xFF, 0xD8, 0xFF);
    }

    private static Exif find(byte[] file) {
        if (isJpeg(file)) {
            return inJpeg(file);
        }
        if (begins(file, 0, 0x89, 'P', 'N', 'G')) {
            return inPng(file);
        }
        boolean isWebp = begins(file, 0, 'R', 'I', 'F', 'F') && begins(file, 8, 'W', 'E', 'B', 'P');
        return isWebp ? inWebp(file) : null;
    }

    private static Exif inJpeg(byte[] file) {
        int at = 2;
        for (int part = 0; part < MAX_PARTS; part++) {
            while (begins(file, at, 0xFF, 0xFF)) {
                at++;
            }
            int marker = file[at + 1] & 255;
            int length = big16(file, at + 2);
            if ((file[at] & 255) != 0xFF || marker == 0xDA || marker == 0xD9 || length < 2) {
                return null;
            }
            if (marker == 0xE1 && length > 8 && begins(file, at + 4, 'E', 'x', 'i', 'f', 0, 0)) {
                return new Exif(file, at + 10, at + 2 + length);
            }
            at += 2 + length;
        }
        return null;
    }

    private static Exif inPng(byte[] file) {
        Exif last = null;
        long at = 8;
        for (int part = 0; part < MAX_PARTS && at + 12 <= file.length; part++) {
            long length = big32(file, (int) at);
            if (at + 12 + length > file.length || begins(file, (int) at + 4, 'I', 'E', 'N', 'D')) {
                return last;
            }
            if (begins(file, (int) at + 4, 'e', 'X', 'I', 'f')) {
                last = new Exif(file, (int) at + 8, (int) (at + 8 + length));
            }
            at += 12 + length;
        }
        return last;
    }

    private static Exif inWebp(byte[] file) {
        long at = 12;
        for (int part = 0; part < MAX_PARTS && at + 8 <= file.length; part++) {
            int here = (int) at;
            long length = little32(file, here + 4);
            if (begins(file, here, 'E', 'X', 'I', 'F')) {
                boolean hasName = begins(file, here + 8, 'E', 'x', 'i', 'f', 0, 0);
                int end = (int) Math.min(file.length, at + 8 + length);
                return new Exif(file, here + (hasName ? 14 : 8), end);
            }
            at += 8 + length + length % 2;
        }
        return null;
    }

    /** The tag's value in the first directory of the TIFF that EXIF is; 1 where there is none. */
    private int number() {
        boolean isTiff = begins(data, start, 'I', 'I', 42, 0) || begins(data, start, 'M', 'M', 0, 42);
        if (!isTiff) {
            return 0;
        }
        long directory = start + tiff32(start + 4);
        int count = tiff16(directory);
        for (int entry = 0; entry < count; entry++) {
            long at = directory + 2 + 12L * entry;
            if (tiff16(at) == ORIENTATION_TAG) {
                return tiff16(at + 2) == SHORT ? tiff16(at + 8) : 0;
            }
        }
        return 1;
    }

    private int tiff16(long at) {
        if (at < start || at + 2 > end) {
            throw new IndexOutOfBoundsException("EXIF ends");
        }
        int first = data[(int) at] & 255;
        int second = data[(int) at + 1] & 255;
        return isLittle ? second << 8 | first : first << 8 | second;
    }

    private long tiff32(long at) {
        long first = tiff16(at);
        long second = tiff16(at + 2);
        return isLittle ? second << 16 | first : first << 16 | second;
    }

    private static int big16(byte[] file, int at) {
        return (file[at] & 255) << 8 | file[at + 1] & 255;
    }

    private static long big32(byte[] file, int at) {
        return (long) big16(file, at) << 16 | big16(file, at + 2);
    }

    private static long little32(byte[] file, int at) {
        return Integer.reverseBytes((int) big32(file, at)) & 0xFFFFFFFFL;
    }

    private static boolean begins(byte[] data, int at, int... with) {
        if (at < 0 || at + with.length > data.length) {
            return false;
        }
        for (int i = 0; i < with.length; i++) {
            if ((data[at + i] & 255) != with[i]) {
                return false;
            }
        }
        return true;
    }
}
