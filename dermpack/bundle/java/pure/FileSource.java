package dermpack.bundle;

import java.io.IOException;

/** Reads the files of the bundle: from the app's assets on a phone. */
interface FileSource {
    /** The bytes of a file, named relative to the model's folder. */
    byte[] read(String name) throws IOException;
}
