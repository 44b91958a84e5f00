// A library module: put its folder beside your app and include it in settings.gradle.kts.
plugins {
    id("com.android.library")
}

android {
    namespace = "$package"
    compileSdk = $compile_sdk

    defaultConfig {
        minSdk = $min_sdk
        consumerProguardFiles("consumer-rules.pro")
    }

    // A model that is stored as it is can be mapped into memory; say the same in your app's module.
    androidResources {
        noCompress += "tflite"
    }
}

dependencies {
    implementation("$runtime")
}
