package dermpack.bundle;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.util.Map;

/** Runs the model: with one interpreter on a phone, with another one on a computer. */
interface Engine extends Closeable {
    /** One picture in, one answer out, by the names of the contract; the buffers are direct, in native order. */
    void run(Map<String, ByteBuffer> inputs, Map<String, ByteBuffer> outputs);

    @Override
    void close();
}
