package org.tensorflow.lite;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.tensorflow.lite.nnapi.NnApiDelegate;

/** What TFLite's own API finds by this name: on a desk, the interpreter of the Python package's library. */
public final class InterpreterFactoryImpl implements InterpreterFactoryApi {
    private static final int FAULTY_THREADS = 7;
    private static final AtomicInteger OPEN = new AtomicInteger();

    /** The number of interpreters that nobody closed. */
    public static int countOpen() {
        return OPEN.get();
    }

    @Override
    public InterpreterApi create(File model, InterpreterApi.Options options) {
        throw new UnsupportedOperationException("give the bytes");
    }

    @Override
    public InterpreterApi create(ByteBuffer model, InterpreterApi.Options options) {
        // An accelerator that a test wants to be broken; it is named by its number of threads.
        String fault = options.getNumThreads() == FAULTY_THREADS ? System.getProperty("litert.fault", "") : "";
        if (fault.equals("fails")) {
            throw new IllegalStateException("this accelerator does not know the operators");
        }
        if (fault.equals("unlinked")) {
            throw new UnsatisfiedLinkError("this accelerator's library is not in the app");
        }
        LiteRt opened = new LiteRt(System.getProperty("litert.library"), model);
        return fault.equals("differs") ? new WrongInterpreter(opened) : new DesktopInterpreter(opened);
    }

    @Override
    public String runtimeVersion() {
        return "desktop";
    }

    @Override
    public String schemaVersion() {
        return "3";
    }

    @Override
    public NnApiDelegate.PrivateInterface createNnApiDelegateImpl(NnApiDelegate.Options options) {
        throw new UnsupportedOperationException("a desk has no NNAPI");
    }

    private static final class WrongInterpreter extends DesktopInterpreter {
        WrongInterpreter(LiteRt model) {
            super(model);
        }

        @Override
        public void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs) {
            super.runForMultipleInputsOutputs(inputs, outputs);
            ByteBuffer answer = (ByteBuffer) outputs.get(0);
            byte first = answer.get(0);
            answer.put(0, answer.get(1)).put(1, (byte) (first ^ 0x7F));
        }
    }

    private static class DesktopInterpreter implements InterpreterApi {
        private final LiteRt model;

        DesktopInterpreter(LiteRt model) {
            this.model = model;
            OPEN.incrementAndGet();
        }

        @Override
        public void run(Object input, Object output) {
            runForMultipleInputsOutputs(new Object[] {input}, Collections.singletonMap(0, output));
        }

        /** As strict as a phone: a direct buffer of exactly these bytes. */
        private static ByteBuffer exact(ByteBuffer buffer, int bytes) {
            if (!buffer.isDirect() || buffer.remaining() != bytes) {
                throw new IllegalArgumentException(
                        "Cannot copy to a TensorFlowLite tensor with " + bytes + " bytes from a Java Buffer with "
                                + buffer.remaining() + " bytes.");
            }
            return buffer;
        }

        @Override
        public void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs) {
            ByteBuffer[] from = new ByteBuffer[model.inputNames().size()];
            for (int i = 0; i < from.length; i++) {
                from[i] = exact((ByteBuffer) inputs[i], model.inputBytes(i));
            }
            ByteBuffer[] into = new ByteBuffer[model.outputNames().size()];
            for (int i = 0; i < into.length; i++) {
                into[i] = exact((ByteBuffer) outputs.get(i), model.outputBytes(i));
            }
            model.run(from, into);
        }

        @Override
        public void allocateTensors() {}

        @Override
        public void resizeInput(int index, int[] shape) {
            throw new UnsupportedOperationException("one size");
        }

        @Override
        public void resizeInput(int index, int[] shape, boolean strict) {
            throw new UnsupportedOperationException("one size");
        }

        @Override
        public int getInputTensorCount() {
            return model.inputNames().size();
        }

        @Override
        public int getInputIndex(String name) {
            return known(model.inputNames(), name);
        }

        @Override
        public Tensor getInputTensor(int index) {
            return new SizedTensor(model.inputBytes(index));
        }

        @Override
        public int getOutputTensorCount() {
            return model.outputNames().size();
        }

        @Override
        public int getOutputIndex(String name) {
            return known(model.outputNames(), name);
        }

        @Override
        public Tensor getOutputTensor(int index) {
            return new SizedTensor(model.outputBytes(index));
        }

        /** As a phone does: an unknown name is an error. */
        private static int known(List<String> names, String name) {
            int index = names.indexOf(name);
            if (index < 0) {
                throw new IllegalArgumentException("'" + name + "' is not a valid name; known are " + names);
            }
            return index;
        }

        @Override
        public Long getLastNativeInferenceDurationNanoseconds() {
            return null;
        }

        @Override
        public void close() {
            OPEN.decrementAndGet();
            model.close();
        }
    }

    /** Of a tensor, what a size check asks. */
    private static final class SizedTensor implements Tensor {
        private final int bytes;

        SizedTensor(int bytes) {
            this.bytes = bytes;
        }

        @Override
        public int numBytes() {
            return bytes;
        }

        @Override
        public DataType dataType() {
            throw unasked();
        }

        @Override
        public int numDimensions() {
            throw unasked();
        }

        @Override
        public int numElements() {
            throw unasked();
        }

        @Override
        public int[] shape() {
            throw unasked();
        }

        @Override
        public int[] shapeSignature() {
            throw unasked();
        }

        @Override
        public int index() {
            throw unasked();
        }

        @Override
        public String name() {
            throw unasked();
        }

        @Override
        public QuantizationParams quantizationParams() {
            throw unasked();
        }

        @Override
        public ByteBuffer asReadOnlyBuffer() {
            throw unasked();
        }

        private static UnsupportedOperationException unasked() {
            return new UnsupportedOperationException("only the size is known here");
        }
    }
}
