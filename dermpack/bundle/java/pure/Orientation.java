package dermpack.bundle;

/** How a stored picture must be turned so that it stands upright; EXIF's 1 to 8. */
enum Orientation {
    UPRIGHT,
    MIRRORED,
    UPSIDE_DOWN,
    UPSIDE_DOWN_MIRRORED,
    TRANSPOSED,
    TURN_RIGHT,
    TRANSVERSED,
    TURN_LEFT;

    /** The orientation that EXIF numbers so; upright for anything else. */
    static Orientation numbered(int number) {
        return number >= 1 && number <= 8 ? values()[number - 1] : UPRIGHT;
    }

    /** The orientation of a picture that must be turned clockwise by so many degrees to stand upright. */
    static Orientation turned(int degrees) {
        switch (degrees) {
            case 0:
                return UPRIGHT;
            case 90:
                return TURN_RIGHT;
            case 180:
                return UPSIDE_DOWN;
            case 270:
                return TURN_LEFT;
            default:
                throw new IllegalArgumentException("rotationDegrees is " + degrees + ", not one of 0, 90, 180, 270");
        }
    }

    int getNumber() {
        return ordinal() + 1;
    }

    /** Whether width and height change places. */
    boolean isTurned() {
        return ordinal() >= 4;
    }

    /** Where the upright picture's pixel (x, y) is stored, along the stored rows. */
    int storedX(int x, int y, int storedWidth) {
        int along = isTurned() ? y : x;
        switch (this) {
            case MIRRORED:
            case UPSIDE_DOWN:
            case TRANSVERSED:
            case TURN_LEFT:
                return storedWidth - 1 - along;
            default:
                return along;
        }
    }

    /** Which stored row it is in. */
    int storedY(int x, int y, int storedHeight) {
        int down = isTurned() ? x : y;
        switch (this) {
            case UPSIDE_DOWN:
            case UPSIDE_DOWN_MIRRORED:
            case TURN_RIGHT:
            case TRANSVERSED:
                return storedHeight - 1 - down;
            default:
                return down;
        }
    }
}
