package dermpack.bundle;

import java.io.Closeable;
import java.nio.ByteBuffer;

/** A contract and an engine: pictures in, results out. One picture at a time, from any thread. */
public final class PictureClassifier implements Closeable {
    private final Contract contract;
    private final Engine engine;
    private final ByteBuffer input;
    private final ByteBuffer output;

    public PictureClassifier(Contract contract, Engine engine) {
        this.contract = contract;
        this.engine = engine;
        this.input = contract.getInput().newBuffer();
        this.output = contract.getOutput().newBuffer();
    }

    public Contract getContract() {
        return contract;
    }

    /** What the model says of a decoded picture. */
    public Result classify(Raster raster, Orientation orientation) {
        return classify(raster, orientation, 0);
    }

    /** As above, where decoding took so long. */
    public synchronized Result classify(Raster raster, Orientation orientation, long decodeNanos) {
        long start = System.nanoTime();
        feed(prepare(raster, orientation));
        long prepared = System.nanoTime();
        invoke();
        long done = System.nanoTime();
        return result(new Timing(decodeNanos, prepared - start, done - prepared));
    }

    /** The square that the model sees, RGB, row by row. */
    byte[] prepare(Raster raster, Orientation orientation) {
        return Preparer.prepare(raster, orientation, contract.getSize(), contract.policy());
    }

    /** Lays pixels out as the input wants them. */
    synchronized void feed(byte[] pixels) {
        contract.getInput().feed(pixels, contract.mean(), contract.std(), input);
    }

    /** Runs the model on what was fed. */
    synchronized void invoke() {
        Tensor.start(input);
        Tensor.start(output);
        engine.run(input, output);
    }

    /** The bytes that go in. */
    synchronized byte[] fed() {
        return copy(input);
    }

    /** The bytes that came out last. */
    synchronized byte[] answered() {
        return copy(output);
    }

    /** What the bytes mean that came out last. */
    synchronized Result result(Timing timing) {
        return Scorer.result(contract, probabilities(), timing);
    }

    synchronized double[] probabilities() {
        return Scorer.probabilities(contract, contract.getOutput().real(output));
    }

    private static byte[] copy(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.capacity()];
        ByteBuffer view = buffer.duplicate();
        Tensor.start(view);
        view.get(bytes);
        return bytes;
    }

    @Override
    public synchronized void close() {
        engine.close();
    }
}
