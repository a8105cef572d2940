pluginManagement {
    repositories { google(); mavenCentral() }
}
dependencyResolutionManagement {
    repositories { google(); mavenCentral() }
}
rootProject.name = "tflite-light demo"
include(":app")
