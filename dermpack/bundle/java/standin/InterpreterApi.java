package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.util.Map;

/** Stands in for the runtime's own, to compile against; it runs nothing. */
public interface InterpreterApi extends AutoCloseable {
    static InterpreterApi create(ByteBuffer model, Options options) {
        throw new UnsupportedOperationException("no runtime is here");
    }

    void allocateTensors();

    void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs);

    int getInputIndex(String name);

    int getOutputIndex(String name);

    Tensor getInputTensor(int index);

    Tensor getOutputTensor(int index);

    @Override
    void close();

    /** How to run. */
    class Options {
        public Options setNumThreads(int threads) {
            return this;
        }
    }
}
