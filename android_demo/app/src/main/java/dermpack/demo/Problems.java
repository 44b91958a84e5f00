package dermpack.demo;

/** Words for what went wrong. */
final class Problems {
    private Problems() {}

    static String describe(Throwable error) {
        return error.getMessage() == null ? error.getClass().getSimpleName() : error.getMessage();
    }
}
