from populace._command import main

main()
