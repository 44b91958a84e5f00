package dermpack.bundle;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.util.Map;

/** What computes the model: an interpreter on a phone, another one on a desk. */
public interface Engine extends Closeable {
    /** One picture in, one answer out, by the names of the contract; the buffers are direct, in native order. */
    void run(Map<String, ByteBuffer> inputs, Map<String, ByteBuffer> outputs);

    @Override
    void close();
}
