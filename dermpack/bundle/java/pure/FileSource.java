package dermpack.bundle;

import java.io.IOException;

/** Where the bundle's files are: the app's assets on a phone. */
interface FileSource {
    /** The bytes of a file, named relative to the model's folder. */
    byte[] read(String name) throws IOException;
}
