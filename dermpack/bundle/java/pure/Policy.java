package dermpack.bundle;

/** How a picture becomes a square. */
enum Policy {
    CENTRE_SQUARE("centre-square-1"),
    WHOLE("whole-1");

    private final String title;

    Policy(String title) {
        this.title = title;
    }

    static Policy named(String title) {
        for (Policy policy : values()) {
            if (policy.title.equals(title)) {
                return policy;
            }
        }
        throw new IllegalArgumentException("policy is " + title + ", which this code does not know");
    }
}
