"""What a lab adds to mmkrl without a change to it: one file each."""
