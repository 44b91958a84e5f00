package org.tensorflow.lite;

import com.sun.jna.Memory;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.nio.ByteBuffer;
import java.util.Arrays;

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
    private final Pointer input;
    private final Pointer output;

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
        input = buffer(signature, "Input");
        output = buffer(signature, "Output");
    }

    int inputBytes() {
        return size(input);
    }

    int outputBytes() {
        return size(output);
    }

    void run(ByteBuffer from, ByteBuffer into) {
        Pointer place = locked(input, WRITE);
        place.getByteBuffer(0, inputBytes()).put(from.duplicate());
        call("LiteRtUnlockTensorBuffer", input);
        Pointer[] inputs = {input};
        Pointer[] outputs = {output};
        call("LiteRtRunCompiledModel", compiled, 0L, 1L, inputs, 1L, outputs);
        place = locked(output, READ);
        into.duplicate().put(place.getByteBuffer(0, outputBytes()));
        call("LiteRtUnlockTensorBuffer", output);
    }

    @Override
    public void close() {
        destroy("TensorBuffer", input);
        destroy("TensorBuffer", output);
        destroy("CompiledModel", compiled);
        destroy("Options", options);
        destroy("Model", model);
        destroy("Environment", environment);
    }

    private Pointer buffer(Pointer signature, String side) {
        Pointer tensor = made("LiteRtGetSignature" + side + "TensorByIndex", signature, 0L);
        Memory type = new Memory(TYPE_BYTES);
        type.clear();
        call("LiteRtGetRankedTensorType", tensor, type);
        Pointer needs = made("LiteRtGetCompiledModel" + side + "BufferRequirements", compiled, 0L, 0L);
        return made("LiteRtCreateManagedTensorBufferFromRequirements", environment, type, needs);
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
