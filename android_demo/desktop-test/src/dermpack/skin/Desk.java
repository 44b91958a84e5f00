package dermpack.skin;

import android.content.Context;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;

/** Where the bundle lies on a desk. */
final class Desk {
    private Desk() {}

    /** An app whose assets are the module's. */
    static Context context() {
        return new Context(new AssetManager(new File(System.getProperty("bundle.assets"))));
    }

    static byte[] asset(String name) throws IOException {
        return bytes(new File(System.getProperty("bundle.assets"), "skin/" + name));
    }

    static byte[] bytes(File file) throws IOException {
        InputStream stream = new FileInputStream(file);
        ByteArrayOutputStream into = new ByteArrayOutputStream();
        byte[] chunk = new byte[1 << 16];
        for (int count = stream.read(chunk); count >= 0; count = stream.read(chunk)) {
            into.write(chunk, 0, count);
        }
        stream.close();
        return into.toByteArray();
    }
}
