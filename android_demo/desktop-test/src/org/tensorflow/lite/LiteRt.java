package org.tensorflow.lite;

import com.sun.jna.Memory;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** One model in the native library of LiteRT 2.3.0, on the CPU; a library with other signatures crashes. */
final class LiteRt implements AutoCloseable {
    private static final int ON_CPU = 1;
    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final int TYPE_BYTES = 256; // more than the record of a tensor's type has

    private final NativeLibrary library;
    private final Memory bytes; // the model, which must live as long as the rest
    private final Pointer environment;
    private final Pointer model;
    private final Pointer options;
    private final Pointer compiled;
    private final Pointer[] inputs;
    private final Pointer[] outputs;
    private final List<String> inputNames = new ArrayList<String>();
    private final List<String> outputNames = new ArrayList<String>();

    LiteRt(String path, ByteBuffer file) {
        library = NativeLibrary.getInstance(path);
        bytes = new Memory(file.remaining());
        bytes.getByteBuffer(0, bytes.size()).put(file.duplicate());
        environment = made("LiteRtCreateEnvironment", 0, null);
        model = made("LiteRtCreateModelFromBuffer", environment, bytes, bytes.size());
        options = made("LiteRtCreateOptions");
        call("LiteRtSetOptionsHardwareAccelerators", options, ON_CPU);
        compiled = made("LiteRtCreateCompiledModel", environment, model, options);
        Pointer signature = made("LiteRtGetModelSignature", model, 0L);
        inputs = buffers(signature, "Input", inputNames);
        outputs = buffers(signature, "Output", outputNames);
    }

    /** In the order of the indices. */
    List<String> inputNames() {
        return inputNames;
    }

    List<String> outputNames() {
        return outputNames;
    }

    int inputBytes(int index) {
        return size(inputs[index]);
    }

    int outputBytes(int index) {
        return size(outputs[index]);
    }

    void run(ByteBuffer[] from, ByteBuffer[] into) {
        for (int i = 0; i < inputs.length; i++) {
            locked(inputs[i], WRITE).getByteBuffer(0, inputBytes(i)).put(from[i].duplicate());
            call("LiteRtUnlockTensorBuffer", inputs[i]);
        }
        call("LiteRtRunCompiledModel", compiled, 0L, (long) inputs.length, inputs, (long) outputs.length, outputs);
        for (int i = 0; i < outputs.length; i++) {
            into[i].duplicate().put(locked(outputs[i], READ).getByteBuffer(0, outputBytes(i)));
            call("LiteRtUnlockTensorBuffer", outputs[i]);
        }
    }

    @Override
    public void close() {
        for (Pointer buffer : inputs) {
            destroy("TensorBuffer", buffer);
        }
        for (Pointer buffer : outputs) {
            destroy("TensorBuffer", buffer);
        }
        destroy("CompiledModel", compiled);
        destroy("Options", options);
        destroy("Model", model);
        destroy("Environment", environment);
    }

    private Pointer[] buffers(Pointer signature, String side, List<String> names) {
        LongByReference count = new LongByReference();
        call("LiteRtGetNumSignature" + side + "s", signature, count);
        Pointer[] buffers = new Pointer[(int) count.getValue()];
        for (int i = 0; i < buffers.length; i++) {
            names.add(made("LiteRtGetSignature" + side + "Name", signature, (long) i).getString(0));
            Pointer tensor = made("LiteRtGetSignature" + side + "TensorByIndex", signature, (long) i);
            Memory type = new Memory(TYPE_BYTES);
            type.clear();
            call("LiteRtGetRankedTensorType", tensor, type);
            Pointer needs = made("LiteRtGetCompiledModel" + side + "BufferRequirements", compiled, 0L, (long) i);
            buffers[i] = made("LiteRtCreateManagedTensorBufferFromRequirements", environment, type, needs);
        }
        return buffers;
    }

    private int size(Pointer buffer) {
        LongByReference size = new LongByReference();
        call("LiteRtGetTensorBufferPackedSize", buffer, size);
        return (int) size.getValue();
    }

    private void destroy(String what, Pointer pointer) {
        library.getFunction("LiteRtDestroy" + what).invokeVoid(new Object[] {pointer});
    }

    /** What a function puts where its last parameter points. */
    private Pointer made(String function, Object... arguments) {
        PointerByReference made = new PointerByReference();
        Object[] all = Arrays.copyOf(arguments, arguments.length + 1);
        all[arguments.length] = made;
        call(function, all);
        return made.getValue();
    }

    private Pointer locked(Pointer buffer, int mode) {
        PointerByReference place = new PointerByReference();
        call("LiteRtLockTensorBuffer", buffer, place, mode);
        return place.getValue();
    }

    private void call(String function, Object... arguments) {
        int status = library.getFunction(function).invokeInt(arguments);
        if (status != 0) {
            throw new IllegalStateException(function + " answers " + status);
        }
    }
}
