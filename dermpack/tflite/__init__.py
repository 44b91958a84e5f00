"""Read, check and annotate .tflite files as flatbuffers, without running them."""
