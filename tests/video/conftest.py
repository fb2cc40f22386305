from numbered import make_video, numbers  # noqa: F401
