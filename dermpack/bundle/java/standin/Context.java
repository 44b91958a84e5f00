package android.content;

import android.content.res.AssetManager;

/** Stands in for Android's own where there is none: to compile, and to run the bundle's code on a desk. */
public class Context {
    private final AssetManager assets;

    public Context(AssetManager assets) {
        this.assets = assets;
    }

    public Context getApplicationContext() {
        return this;
    }

    public AssetManager getAssets() {
        return assets;
    }
}
