package dermpack.bundle;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.util.Log;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.Charset;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.tensorflow.lite.InterpreterApi;

/**
 * The model of this bundle on Android. Open it once, off the main thread; classify from any thread; close it.
 *
 * <p>Its answers are those of a model, not a diagnosis.
 */
public final class BundleClassifier implements Closeable {
    private static final String ASSETS = "bundle";
    private static final Charset UTF_8 = Charset.forName("UTF-8");
    private static final int WARM_UP_ROUNDS = 3; // the first call pages the weights in
    private static final int CHUNK_BYTES = 1 << 16;
    private static final double MOST_APART = 0.05; // of probabilities, between an accelerator and the CPU
    private static final double MEAN_APART = 0.01;

    /** The variants of the model in this bundle; the first one is the default. */
    public enum Variant {
        INT8(""); // the variants in the bundle

        private final String folder;

        Variant(String folder) {
            this.folder = folder;
        }
    }

    private final PictureClassifier classifier;
    private final FileSource files;
    private final boolean isAccelerated;

    private BundleClassifier(PictureClassifier classifier, FileSource files, boolean isAccelerated) {
        this.classifier = classifier;
        this.files = files;
        this.isAccelerated = isAccelerated;
    }

    /** Opens the first variant on one thread. */
    public static BundleClassifier open(Context context) throws IOException {
        return open(context, Variant.values()[0], 1);
    }

    /** Opens a variant; for a small model, more threads are often slower: measure. */
    public static BundleClassifier open(Context context, Variant variant, int threads) throws IOException {
        return open(context, variant, new InterpreterApi.Options().setNumThreads(threads));
    }

    /** Opens a variant with options: threads, delegates, the runtime of Google Play services. Nothing is compared. */
    public static BundleClassifier open(Context context, Variant variant, InterpreterApi.Options options)
            throws IOException {
        Assets files = new Assets(context);
        return new BundleClassifier(picture(files, variant, options), files, false);
    }

    /**
     * Opens a variant on an accelerator, and also on the CPU. Where the accelerator cannot be opened, or answers
     * generated patterns differently, the CPU is used instead: isAccelerated() then returns false.
     */
    public static BundleClassifier openAccelerated(Context context, Variant variant, InterpreterApi.Options options)
            throws IOException {
        require(options, "options");
        Assets files = new Assets(context);
        PictureClassifier cpu = picture(files, variant, new InterpreterApi.Options().setNumThreads(1));
        PictureClassifier accelerated = null;
        PictureClassifier used = null; // the other one is closed, and both if a file cannot be read
        try {
            accelerated = picture(files, variant, options);
            used = cpu.agrees(accelerated, MEAN_APART, MOST_APART) ? accelerated : cpu;
        } catch (RuntimeException | LinkageError error) { // of a delegate: its kind is not documented
            Log.w(ASSETS, "the accelerator cannot be used", error);
            used = cpu;
        } finally {
            if (used != cpu) {
                cpu.close();
            }
            if (accelerated != null && used != accelerated) {
                accelerated.close();
            }
        }
        return new BundleClassifier(used, files, used == accelerated);
    }

    private static PictureClassifier picture(Assets files, Variant variant, InterpreterApi.Options options)
            throws IOException {
        require(variant, "variant");
        require(options, "options");
        Contract contract = contract(files, variant);
        InterpreterApi interpreter = InterpreterApi.create(files.map(variant.folder + "model.tflite"), options);
        try {
            interpreter.allocateTensors();
            LiteEngine engine = new LiteEngine(interpreter, contract);
            return new PictureClassifier(contract, engine);
        } catch (RuntimeException | LinkageError error) {
            interpreter.close();
            throw error;
        }
    }

    /** The first variant's contract alone; no model is opened. */
    public static Contract readContract(Context context) throws IOException {
        return contract(new Assets(context), Variant.values()[0]);
    }

    private static Contract contract(Assets files, Variant variant) throws IOException {
        Contract contract = Contract.read(new String(files.read(variant.folder + "model.json"), UTF_8));
        contract.checkLabels(new String(files.read("labels.txt"), UTF_8));
        return contract;
    }

    /** Whether an accelerator is used, whose answers agreed with those of the CPU. */
    public boolean isAccelerated() {
        return isAccelerated;
    }

    /** The content of model.json. */
    public Contract getContract() {
        return classifier.getContract();
    }

    /** The bytes of a JPEG, PNG or WebP file; its EXIF orientation is applied. */
    public Result classify(byte[] file) throws IOException {
        return classify(file, Metadata.blank());
    }

    /** As above, with what is known about the patient; an IllegalArgumentException names a value that is wrong. */
    public Result classify(byte[] file, Metadata metadata) throws IOException {
        require(file, "file");
        require(metadata, "metadata");
        long start = System.nanoTime();
        Bitmap bitmap = decode(file, getContract().getSize());
        try {
            long decodeNanos = System.nanoTime() - start;
            Raster raster = new BitmapRaster(bitmap);
            return classifier.classify(raster, Exif.orientation(file), metadata, decodeNanos);
        } finally {
            bitmap.recycle();
        }
    }

    /** As above, from a stream, such as ContentResolver.openInputStream(uri); it is read to its end. */
    public Result classify(InputStream file) throws IOException {
        require(file, "file");
        return classify(readAll(file));
    }

    /** An upright bitmap, not scaled by you: the model's own resize must do that. */
    public Result classify(Bitmap upright) {
        return classify(upright, 0, Metadata.blank());
    }

    /**
     * A bitmap that must be turned clockwise by 0, 90, 180 or 270 degrees to stand upright, as CameraX states in
     * imageInfo.rotationDegrees. A hardware bitmap is copied; one of 16 bits for a pixel is refused.
     */
    public Result classify(Bitmap bitmap, int rotationDegrees) {
        return classify(bitmap, rotationDegrees, Metadata.blank());
    }

    /** As above, with what is known about the patient. */
    public Result classify(Bitmap bitmap, int rotationDegrees, Metadata metadata) {
        require(bitmap, "bitmap");
        require(metadata, "metadata");
        Orientation orientation = Orientation.turned(rotationDegrees);
        String config = String.valueOf(bitmap.getConfig()); // HARDWARE exists since API 26, RGBA_1010102 since 33
        if (config.equals("RGB_565") || config.equals("ARGB_4444") || config.equals("ALPHA_8")) {
            throw new IllegalArgumentException(
                    "the bitmap is " + config + ", which has lost bits of the colours: decode it as ARGB_8888");
        }
        if (!config.equals("HARDWARE")) {
            return classifier.classify(new BitmapRaster(bitmap), orientation, metadata, 0);
        }
        Bitmap copy = bitmap.copy(Bitmap.Config.ARGB_8888, false);
        if (copy == null) {
            throw new IllegalArgumentException("the hardware bitmap cannot be copied: decode it as ARGB_8888");
        }
        try {
            return classifier.classify(new BitmapRaster(copy), orientation, metadata, 0);
        } finally {
            copy.recycle();
        }
    }

    /**
     * Runs the golden vectors on this device. This takes seconds: do not call it on the main thread. Other threads
     * may classify meanwhile. Throws a FileNotFoundException if this build contains no golden vectors.
     */
    public List<SelfCheck.Check> selfCheck() throws IOException {
        return SelfCheck.run(classifier, files, new BitmapDecoder());
    }

    /** The bytes that the model gave last, for tests. */
    byte[] answered() {
        return classifier.answered();
    }

    /** The median time of one answer of the model alone, over so many rounds after a warm-up. */
    public double medianInvokeMs(int rounds) {
        if (rounds < 1) {
            throw new IllegalArgumentException("rounds is " + rounds + ", below 1");
        }
        synchronized (classifier) {
            return median(rounds);
        }
    }

    private double median(int rounds) {
        classifier.feed(new byte[3 * getContract().getSize() * getContract().getSize()]);
        for (int round = 0; round < WARM_UP_ROUNDS; round++) {
            classifier.invoke();
        }
        long[] nanos = new long[rounds];
        for (int round = 0; round < rounds; round++) {
            long start = System.nanoTime();
            classifier.invoke();
            nanos[round] = System.nanoTime() - start;
        }
        Arrays.sort(nanos);
        return (nanos[(rounds - 1) / 2] + nanos[rounds / 2]) / 2e6;
    }

    /** Frees the model; a second call does nothing. */
    @Override
    public void close() {
        classifier.close();
    }

    /** Reduced as far as the preparation allows, in plain 8-bit samples that no alpha was multiplied into. */
    private static Bitmap decode(byte[] file, int size) throws IOException {
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inJustDecodeBounds = true;
        BitmapFactory.decodeByteArray(file, 0, file.length, options);
        if (options.outWidth <= 0 || options.outHeight <= 0) {
            throw new IOException("not a picture that Android can decode");
        }
        options.inJustDecodeBounds = false;
        options.inSampleSize =
                Exif.isJpeg(file) ? Preparer.sampleSize(options.outWidth, options.outHeight, size) : 1;
        options.inPreferredConfig = Bitmap.Config.ARGB_8888;
        options.inPremultiplied = false;
        options.inScaled = false;
        Bitmap bitmap = BitmapFactory.decodeByteArray(file, 0, file.length, options);
        if (bitmap == null) {
            throw new IOException("the picture is damaged");
        }
        return bitmap;
    }

    private static void require(@Nullable Object value, String name) {
        if (value == null) {
            throw new IllegalArgumentException(name + " is null");
        }
    }

    private static byte[] readAll(InputStream stream) throws IOException {
        ByteArrayOutputStream into = new ByteArrayOutputStream();
        byte[] chunk = new byte[CHUNK_BYTES];
        for (int count = stream.read(chunk); count >= 0; count = stream.read(chunk)) {
            into.write(chunk, 0, count);
        }
        return into.toByteArray();
    }

    /** The assets of this model. */
    private static final class Assets implements FileSource {
        private final Context context;

        Assets(Context context) {
            require(context, "context");
            this.context = context.getApplicationContext();
        }

        @Override
        public byte[] read(String name) throws IOException {
            InputStream stream = context.getAssets().open(ASSETS + "/" + name);
            try {
                return readAll(stream);
            } finally {
                stream.close();
            }
        }

        /** Mapped where the app stores the asset uncompressed, as it should; else copied. */
        ByteBuffer map(String name) throws IOException {
            AssetFileDescriptor descriptor;
            try {
                descriptor = context.getAssets().openFd(ASSETS + "/" + name);
            } catch (FileNotFoundException compressed) {
                byte[] data = read(name);
                ByteBuffer copy = ByteBuffer.allocateDirect(data.length).order(ByteOrder.nativeOrder());
                copy.put(data);
                Tensor.start(copy);
                return copy;
            }
            FileInputStream stream = new FileInputStream(descriptor.getFileDescriptor());
            try {
                FileChannel channel = stream.getChannel();
                return channel.map(
                        FileChannel.MapMode.READ_ONLY, descriptor.getStartOffset(), descriptor.getDeclaredLength());
            } finally {
                stream.close();
                descriptor.close();
            }
        }
    }

    /** The interpreter, whose tensors are found by their names, never by their order. */
    private static final class LiteEngine implements Engine {
        private final InterpreterApi interpreter;
        private final Map<String, Integer> inputIndices = new HashMap<String, Integer>();
        private final Map<String, Integer> outputIndices = new HashMap<String, Integer>();

        LiteEngine(InterpreterApi interpreter, Contract contract) {
            this.interpreter = interpreter;
            for (Tensor input : contract.getInputs().values()) {
                int index = contract.isNamed() ? interpreter.getInputIndex(input.getName()) : 0;
                input.checkBytes(interpreter.getInputTensor(index).numBytes());
                inputIndices.put(input.getName(), index);
            }
            for (Tensor output : contract.getOutputs().values()) {
                int index = contract.isNamed() ? interpreter.getOutputIndex(output.getName()) : 0;
                output.checkBytes(interpreter.getOutputTensor(index).numBytes());
                outputIndices.put(output.getName(), index);
            }
        }

        @Override
        public void run(Map<String, ByteBuffer> inputs, Map<String, ByteBuffer> outputs) {
            Object[] from = new Object[inputIndices.size()];
            for (Map.Entry<String, Integer> entry : inputIndices.entrySet()) {
                from[entry.getValue()] = inputs.get(entry.getKey());
            }
            Map<Integer, Object> into = new HashMap<Integer, Object>();
            for (Map.Entry<String, Integer> entry : outputIndices.entrySet()) {
                into.put(entry.getValue(), outputs.get(entry.getKey()));
            }
            interpreter.runForMultipleInputsOutputs(from, into);
        }

        @Override
        public void close() {
            interpreter.close();
        }
    }

    private static final class BitmapDecoder implements Decoder {
        @Override
        public Raster decode(byte[] file, int size) throws IOException {
            return new BitmapRaster(BundleClassifier.decode(file, size));
        }
    }

    private static final class BitmapRaster implements Raster {
        private final Bitmap bitmap;

        BitmapRaster(Bitmap bitmap) {
            this.bitmap = bitmap;
        }

        @Override
        public int getWidth() {
            return bitmap.getWidth();
        }

        @Override
        public int getHeight() {
            return bitmap.getHeight();
        }

        @Override
        public void read(int[] into, int left, int top, int width, int height) {
            bitmap.getPixels(into, 0, width, left, top, width, height);
        }
    }
}
