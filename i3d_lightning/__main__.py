from i3d_lightning.cli import main

main()
