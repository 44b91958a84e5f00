package com.google.android.material.button;

/** The accessibility checks load this class by its name; the app does not use it. */
public class MaterialButton extends android.widget.Button {
    public MaterialButton(android.content.Context context) {
        super(context);
    }
}
