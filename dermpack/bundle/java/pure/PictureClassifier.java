package dermpack.bundle;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A contract and an engine: pictures in, results out. One picture at a time, from any thread. */
final class PictureClassifier implements Closeable {
    private static final int PATTERNS = 4;

    private final Contract contract;
    private final Engine engine;
    private final Map<String, ByteBuffer> inputs;
    private final Map<String, ByteBuffer> outputs;
    private boolean isClosed;
    private Quality.@Nullable Fault fault; // of the picture that was fed last

    PictureClassifier(Contract contract, Engine engine) {
        this.contract = contract;
        this.engine = engine;
        this.inputs = newBuffers(contract.getInputs());
        this.outputs = newBuffers(contract.getOutputs());
    }

    Contract getContract() {
        return contract;
    }

    /** The answer for a decoded picture and the metadata of the patient; decoding took this long. */
    synchronized Result classify(Raster raster, Orientation orientation, Metadata metadata, long decodeNanos) {
        long start = System.nanoTime();
        byte[] pixels = prepare(raster, orientation);
        feed(pixels, metadata);
        long prepared = System.nanoTime();
        invoke();
        long done = System.nanoTime();
        return result(pixels, new Timing(decodeNanos, prepared - start, done - prepared));
    }

    /** The square that the model sees, RGB, row by row. */
    byte[] prepare(Raster raster, Orientation orientation) {
        return Preparer.prepare(raster, orientation, contract.getSize(), contract.policy());
    }

    /** Fills the inputs with pixels and blank metadata. */
    synchronized void feed(byte[] pixels) {
        feed(pixels, Metadata.blank());
    }

    /** Fills the inputs with pixels and metadata. */
    synchronized void feed(byte[] pixels, Metadata metadata) {
        requireOpen();
        float[] row = metadata.row(contract.getMetadataColumns());
        Tensor known = contract.metadataInput();
        if (known != null) {
            known.feed(row, inputs.get(known.getName()));
        }
        Tensor input = contract.getInput();
        Quality.Gates gates = contract.gates();
        fault = gates == null ? null : Quality.measure(pixels, contract.getSize()).fault(gates);
        input.feed(
                contract.arranged(pixels), contract.mean(), contract.std(), contract.isChannelsFirst(),
                inputs.get(input.getName()));
    }

    /** Runs the model on what was fed. */
    synchronized void invoke() {
        requireOpen();
        for (ByteBuffer buffer : inputs.values()) {
            Tensor.start(buffer);
        }
        for (ByteBuffer buffer : outputs.values()) {
            Tensor.start(buffer);
        }
        engine.run(inputs, outputs);
    }

    /** The bytes of the input for the picture. */
    synchronized byte[] fed() {
        return copy(inputs.get(contract.getInput().getName()));
    }

    /** The bytes of the input for the metadata; null if the model takes none. */
    synchronized byte @Nullable [] fedMetadata() {
        Tensor known = contract.metadataInput();
        return known == null ? null : copy(inputs.get(known.getName()));
    }

    /** The bytes of the last probabilities. */
    synchronized byte[] answered() {
        return answered(contract.getOutput().getName());
    }

    /** The last bytes of an output. */
    synchronized byte[] answered(String name) {
        return copy(outputs.get(name));
    }

    /** The result in the last outputs. */
    synchronized Result result(byte[] pixels, Timing timing) {
        return Scorer.result(contract, probabilities(), distance(), fault, pixels, timing, evidence());
    }

    /** The distance to the training pictures; 0 where the file returns none. */
    private double distance() {
        String name = contract.familiarityName();
        return name == null ? 0 : real(name)[0];
    }

    /** Where the last answer comes from, or null. */
    private @Nullable EvidenceMap evidence() {
        String name = contract.evidenceName();
        return name == null ? null : contract.evidenceMap(real(name));
    }

    /** The last real values of an output. */
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
        if (!isClosed) {
            isClosed = true;
            engine.close();
        }
    }

    private void requireOpen() {
        if (isClosed) {
            throw new IllegalStateException("this classifier is closed: open another one");
        }
    }

    /**
     * Whether another engine answers as this one, within these limits: probabilities on average and at most so far
     * apart, and the same label unless the two best are nearly as probable as each other. The pixels are patterns that
     * need no file.
     */
    boolean agrees(PictureClassifier other, double mean, double most) {
        for (int pattern = 0; pattern < PATTERNS; pattern++) {
            byte[] pixels = pattern(contract.getSize(), pattern);
            double[] wanted = answer(pixels);
            double[] found = other.answer(pixels);
            double sum = 0;
            for (int i = 0; i < wanted.length; i++) {
                double apart = Math.abs(wanted[i] - found[i]);
                if (!(apart <= most)) { // false for NaN, too
                    return false;
                }
                sum += apart;
            }
            if (sum > mean * wanted.length || isAnotherLabel(wanted, found, 2 * mean)) {
                return false;
            }
        }
        return true;
    }

    private synchronized double[] answer(byte[] pixels) {
        feed(pixels);
        invoke();
        return probabilities();
    }

    private static boolean isAnotherLabel(double[] wanted, double[] found, double close) {
        int best = best(wanted);
        return wanted[best] - wanted[best(found)] > close;
    }

    private static int best(double[] values) {
        int best = 0;
        for (int i = 1; i < values.length; i++) {
            best = values[i] > values[best] ? i : best;
        }
        return best;
    }

    /** A dark spot on light skin, of another size and place in each pattern. */
    private static byte[] pattern(int size, int number) {
        byte[] pixels = new byte[3 * size * size];
        double centre = size * (0.4 + 0.05 * number);
        double radius = size * (0.15 + 0.05 * number);
        int to = 0;
        for (int y = 0; y < size; y++) {
            for (int x = 0; x < size; x++) {
                boolean isSpot = Math.hypot(x - centre, y - centre) < radius;
                int shade = (x * 5 + y * 3 + number * 17) % 32;
                pixels[to++] = (byte) ((isSpot ? 110 : 210) + shade);
                pixels[to++] = (byte) ((isSpot ? 70 : 160) + shade);
                pixels[to++] = (byte) ((isSpot ? 60 : 130) + shade);
            }
        }
        return pixels;
    }
}
