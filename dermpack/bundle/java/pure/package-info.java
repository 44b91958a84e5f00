/** A model, and the Java that prepares pictures for it bit for bit as in training. */
@NullMarked
package dermpack.bundle;

import org.jspecify.annotations.NullMarked;
