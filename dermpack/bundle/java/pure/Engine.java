package dermpack.bundle;

import java.io.Closeable;
import java.nio.ByteBuffer;

/** What computes the model: an interpreter on a phone, another one on a desk. */
public interface Engine extends Closeable {
    /** One picture in, one answer out; both buffers are direct, in native order, and exactly as large. */
    void run(ByteBuffer input, ByteBuffer output);

    @Override
    void close();
}
