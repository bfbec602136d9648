from flask import Flask, request
import os

app = Flask(__name__)

@app.route('/alert', methods=['POST'])
def alert_receiver():
    data = request.get_json()
    if "alerts" in data:
        for alert in data["alerts"]:
            if alert["labels"].get("alertname") == "NginxDown":
                os.system("ansible-playbook ../ansible/playbook.yml")
    return "", 200

if __name__ == '__main__':
    app.run(host='0.0.0.0', port=5001)
