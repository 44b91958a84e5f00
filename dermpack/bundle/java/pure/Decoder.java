package dermpack.bundle;

import java.io.IOException;

/** Decodes picture files: with Android's own decoder on a phone. */
interface Decoder {
    /** Decodes a file; a JPEG smaller by {@link Preparer#sampleSize} for a model of this input size. */
    Raster decode(byte[] file, int size) throws IOException;
}
