from i3d_lightning.cli.main import main

main()
