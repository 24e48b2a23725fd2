from k3s_stand_in.main import main

main()
