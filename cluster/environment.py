"""The environment of the processes that Ray starts for us; needs no Ray itself."""

WORKERS = {
    "OMP_NUM_THREADS": "1",
    "TQDM_DISABLE": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path means the same in every process
}

# A training step makes and frees the same large tensors over and over. By default glibc hands most
# of them back to the system, and the next step pays for every page of them again: 13 % of a step
# of the dual encoder, 21 % of one of ComplEx against all entities, nothing of TransE's small ones.
# These processes keep what they freed; the most they ever held grew by 7 % at most. (Training runs
# in a thread, and only the main arena can hold blocks of any size: so there is one arena.)
TRAINING = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
}
