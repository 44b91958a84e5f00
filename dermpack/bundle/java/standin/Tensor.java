package org.tensorflow.lite;

/** Stands in for the runtime's own, to compile against. */
public interface Tensor {
    int numBytes();
}
