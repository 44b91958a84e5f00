package dermpack.bundle;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;

/** A contract and an engine: pictures in, results out. One picture at a time, from any thread. */
public final class PictureClassifier implements Closeable {
    private final Contract contract;
    private final Engine engine;
    private final Map<String, ByteBuffer> inputs;
    private final Map<String, ByteBuffer> outputs;
    private Quality.Fault fault; // of the picture that was fed last

    public PictureClassifier(Contract contract, Engine engine) {
        this.contract = contract;
        this.engine = engine;
        this.inputs = newBuffers(contract.getInputs());
        this.outputs = newBuffers(contract.getOutputs());
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
        Tensor input = contract.getInput();
        Quality.Gates gates = contract.gates();
        fault = gates == null ? null : Quality.measure(pixels, contract.getSize()).fault(gates);
        input.feed(
                contract.arranged(pixels), contract.mean(), contract.std(), contract.isChannelsFirst(),
                inputs.get(input.getName()));
    }

    /** Runs the model on what was fed. */
    synchronized void invoke() {
        for (ByteBuffer buffer : inputs.values()) {
            Tensor.start(buffer);
        }
        for (ByteBuffer buffer : outputs.values()) {
            Tensor.start(buffer);
        }
        engine.run(inputs, outputs);
    }

    /** The bytes that go in for the picture. */
    synchronized byte[] fed() {
        return copy(inputs.get(contract.getInput().getName()));
    }

    /** The bytes of the probabilities that came out last. */
    synchronized byte[] answered() {
        return answered(contract.getOutput().getName());
    }

    /** The bytes that came out last of an output. */
    synchronized byte[] answered(String name) {
        return copy(outputs.get(name));
    }

    /** What the bytes mean that came out last. */
    synchronized Result result(Timing timing) {
        return Scorer.result(contract, probabilities(), distance(), fault, timing, evidence());
    }

    /** The distance to the training pictures; 0 where the file returns none. */
    private double distance() {
        String name = contract.familiarityName();
        return name == null ? 0 : real(name)[0];
    }

    /** Where the last answer comes from, or null. */
    private EvidenceMap evidence() {
        String name = contract.evidenceName();
        return name == null ? null : contract.evidenceMap(real(name));
    }

    /** The real values that came out last of an output. */
    synchronized double[] real(String name) {
        return contract.getOutputs().get(name).real(outputs.get(name));
    }

    synchronized double[] probabilities() {
        return Scorer.probabilities(contract, real(contract.getOutput().getName()));
    }

    private static Map<String, ByteBuffer> newBuffers(Map<String, Tensor> tensors) {
        Map<String, ByteBuffer> buffers = new LinkedHashMap<String, ByteBuffer>();
        for (Map.Entry<String, Tensor> tensor : tensors.entrySet()) {
            buffers.put(tensor.getKey(), tensor.getValue().newBuffer());
        }
        return buffers;
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
