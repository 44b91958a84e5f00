package org.jspecify.annotations;

import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;

/** Stands in for JSpecify's own, to compile against. */
@Retention(RetentionPolicy.RUNTIME)
public @interface NullMarked {}
